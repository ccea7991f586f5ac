// What waits, and how long the stages of the work take: a group of rows for each role.

import { ask } from "./client.js";
import { count, latency } from "./numbers.js";
import { groups, show, write } from "./tables.js";
import { called, make, roleName } from "./words.js";

/** Rows below a heading of their role. */
function showGroups(table, rows, columns, asRow) {
  const asGroup = ([name, members]) => ({
    key: name,
    make: () => {
      const group = make("group");
      group.querySelector("th").colSpan = columns;
      return group;
    },
    fill: (group) => {
      write(group, "th", name);
      show(group, members.map(asRow));
    },
  });
  show(table, groups(rows, roleName).map(asGroup));
}

function queueRow(queue) {
  const state = queue.state ? `, ${called("state", queue.state)}` : "";
  return {
    key: `${queue.queue} ${queue.state ?? ""}`,
    make: () => make("queue-row"),
    fill: (row) => {
      write(row, "th", called("queue", queue.queue) + state);
      write(row, "td", count(queue.length, queue.unit));
      row.classList.toggle("idle", queue.length === 0);
    },
  };
}

function stageRow(stage) {
  return {
    key: stage.stage,
    make: () => make("stage-row"),
    fill: (row) => {
      write(row, "th", called("stage", stage.stage));
      write(row, ".count", count(stage.count, "×"));
      write(row, ".median", latency(stage.median, stage.told_up_to));
      write(row, ".most", latency(stage.percentile_99, stage.told_up_to));
    },
  };
}

/** What waits. */
export const queues = {
  id: "queues",
  async renew(place) {
    showGroups(place.querySelector("table"), await ask("queues"), 2, queueRow);
  },
};

/** How long stages take, of those that there have been. */
export const stages = {
  id: "stages",
  async renew(place) {
    const been = (await ask("stages")).filter((stage) => stage.count > 0);
    place.querySelector(".none").hidden = been.length > 0;
    place.querySelector("table").hidden = been.length === 0;
    showGroups(place.querySelector("table"), been, 4, stageRow);
  },
};
