// A caller in TypeScript: one streamed answer, printed as it comes.
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { InferenceService } from "./gen/pointsman/v1/inference_service_pb.js";

const [target, prompt] = process.argv.slice(2);
const client = createClient(InferenceService, createGrpcTransport({ baseUrl: `http://${target}` }));
let completed = false;
const request = { model: "simulator", input: { case: "prompt" as const, value: prompt } };
for await (const message of client.streamGenerate(request)) {
  for (const delta of message.deltas) {
    if (delta.content.case === "text") process.stdout.write(delta.content.value);
  }
  completed ||= message.completed !== undefined;
}
if (!completed) throw new Error("the stream ended before it was complete");
process.stdout.write("\n");
