import { setTimeout } from "node:timers/promises";

let greeting;

export function start(config) {
  greeting = config.greeting;
}

export async function handle({ node }) {
  await setTimeout(5 * Math.random()); // as if it asked a database
  return { status: 200, body: `${greeting} from version 2 on ${node}` };
}
