import { callPlace } from "../../workers/call-sink.ts";
import { testCampaign } from "./campaign.ts";

const workerModule = new URL("../../workers/call-sink.ts", import.meta.url);

testCampaign({ name: "compensatingCalls(): a call a batch", mode: "append", place: callPlace(), workerModule });

testCampaign({ name: "compensatingCalls(): a call for two rows", mode: "append", place: callPlace(2), workerModule });
