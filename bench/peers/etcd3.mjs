import { Etcd3 } from "etcd3";

export async function contend({ url, group, node, options }, { announced, ended, failed }) {
  const client = new Etcd3({ hosts: url });
  const election = client.election(group, ...(options.ttlS === undefined ? [] : [options.ttlS]));
  let leads = false;
  let over = false;
  let campaign;
  const stop = () => {
    if (leads) ended();
    leads = false;
  };
  // As its documentation shows: a campaign that failed is given up, and another one begun.
  const run = () => {
    campaign = election.campaign(node);
    campaign.on("elected", () => {
      leads = true;
      announced();
    });
    campaign.on("error", (error) => {
      stop();
      if (over) return;
      failed(error);
      setTimeout(run, 1_000);
    });
  };
  run();
  await campaign.getCampaignKey();
  return {
    async resign() {
      over = true;
      stop();
      await campaign.resign();
      client.close();
    },
  };
}
