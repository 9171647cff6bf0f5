/** The fenced table in ZooKeeper for who is not where the servers are: `make URL`, or `rows URL`, which prints them. */
import { makeZnodeLedger, rowsInZnodes } from "./znodes.ts";

const [what, url = ""] = process.argv.slice(2);
if (what === "make") await makeZnodeLedger(url);
else process.stdout.write(JSON.stringify(await rowsInZnodes(url)));
