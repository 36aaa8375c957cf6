// The least that a process can do: start and say so. Its time is what no second process can get below.
console.log("ready");
