/** The way out where a server's URL does not read: mostly a sign in the password that has a meaning of its own in a URL. */
export const URL_ENCODING_HINT =
  "In the user and the password, @ is written %40, / is %2F, : is %3A, ? is %3F, # is %23 and % itself %25.";
