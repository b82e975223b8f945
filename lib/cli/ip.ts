/**
 * `sluice ip`: what `ip addr`, `ip link`, `ip route` and `ip neigh` would print inside the stack.
 *
 * @module
 */

import type { AddressJson } from "../control/render/address.ts";
import type { LinkJson } from "../control/render/link.ts";
import type { NeighbourJson } from "../control/render/neighbour.ts";
import type { RouteJson } from "../control/render/route.ts";
import { type Command, type CommandContext, ExitStatus, Failure, UsageFailure } from "./command.ts";
import { abbreviation, ask, readSelection, readWords } from "./observe.ts";
import { formatJson } from "./text/json.ts";
import { formatAddresses, formatBriefAddresses, formatBriefLinks, formatLinks } from "./text/link.ts";
import { formatNeighbours, formatRoutes } from "./text/route.ts";

/** The command. */
export const ip: Command = {
  name: "ip",
  summary: "addresses, links, routes and neighbours of a running stack",
  usage: "sluice ip [-j] [-p] [-s] [-br] [-4|-6] (addr|link|route|neigh) [show] [dev NAME] [ID]",
  details: `
Options and abbreviations have the meaning of iproute2; it has more of them. The addresses are the guest's;
with --attach=tap and serve they are those of the far end of its cable, the gateway and the name server. ID is
an instance's name or its beginning; it may be left away if one runs.`,
  withoutConfig: true,
  run: showObject,
};

const OPTIONS = {
  j: "json",
  json: "json",
  p: "pretty",
  pretty: "pretty",
  s: "stats",
  stats: "stats",
  statistics: "stats",
  br: "brief",
  brief: "brief",
  4: "4",
  6: "6",
};

/** In the order in which iproute2 tries abbreviations. */
const OBJECTS = ["address", "route", "neighbour", "neighbor", "link"] as const;

async function showObject({ args, stdout }: CommandContext): Promise<number> {
  const { options, words: [word, ...rest] } = readWords(args, OPTIONS);
  if (word === undefined) {
    throw new UsageFailure("wrong usage: name an object: addr, link, route or neigh", "sluice help ip");
  }
  const object = abbreviation(word, OBJECTS);
  if (object === undefined) {
    throw new UsageFailure(
      `wrong usage: unknown object ${JSON.stringify(word)}`,
      "addr, link, route or neigh",
    );
  }
  const { device, id } = readSelection(rest);
  const brief = options.has("brief");
  const family = options.has("4") ? "4" : options.has("6") ? "6" : undefined;
  const show = <Row>(rows: readonly Row[], format: (rows: readonly Row[]) => string) => {
    stdout(options.has("json") ? formatJson(rows, options.has("pretty")) : format(rows));
    return ExitStatus.ok;
  };

  switch (object) {
    case "address": {
      const [entries = []] = await ask<AddressJson[]>(id, withFamily("/v1/addr", family));
      return show(ofInterface(entries, device), brief ? formatBriefAddresses : formatAddresses);
    }
    case "link": {
      const [links = []] = await ask<LinkJson[]>(id, `/v1/link${options.has("stats") ? "?stats=true" : ""}`);
      return show(ofInterface(links, device), brief ? formatBriefLinks : formatLinks);
    }
    case "route": {
      const [routes = []] = await ask<RouteJson[]>(id, withFamily("/v1/route", family));
      return show(ofDevice(routes, device), formatRoutes);
    }
    case "neighbour":
    case "neighbor": {
      const [neighbours = []] = await ask<NeighbourJson[]>(id, withFamily("/v1/neigh", family));
      return show(ofDevice(neighbours, device), formatNeighbours);
    }
  }
}

function withFamily(path: string, family: string | undefined): string {
  return family === undefined ? path : `${path}?family=${family}`;
}

function ofInterface<Entry extends { readonly ifname: string }>(
  all: readonly Entry[],
  device?: string,
): readonly Entry[] {
  if (device === undefined) return all;
  const found = all.filter((entry) => entry.ifname === device);
  if (found.length === 0) {
    throw new Failure(`Device "${device}" does not exist`, undefined, ExitStatus.problem);
  }
  return found;
}

function ofDevice<Entry extends { readonly dev: string }>(
  all: readonly Entry[],
  device?: string,
): readonly Entry[] {
  return device === undefined ? all : all.filter((entry) => entry.dev === device);
}
