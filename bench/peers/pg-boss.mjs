// A schedule of once a minute. "Leads" is whoever ran it last.
import { PgBoss } from "pg-boss";

const QUEUE = "work";

export async function contend({ url }, { announced, failed }) {
  const boss = new PgBoss(url);
  boss.on("error", failed);
  await boss.start();
  await boss.createQueue(QUEUE);
  await boss.work(QUEUE, async () => announced());
  await boss.schedule(QUEUE, "* * * * *");
  return { resign: () => boss.stop() };
}
