import { test } from "node:test";
import { deepEqual, equal } from "node:assert/strict";
import {
  astray,
  impersonates,
  type Prefix,
  type Territory,
  trespass,
} from "../../../lib/modes/external/territory.ts";
import { ip } from "../../support/two_stacks.ts";

function prefix(text: string): Prefix {
  const [address, length] = text.split("/");
  return { destination: ip(address!), prefixLength: Number(length) };
}

const HOME: Territory = {
  name: "home",
  prefixes: [prefix("10.0.0.2/24"), prefix("172.20.0.0/16"), prefix("2001:db8::2/64")],
  gateways: [ip("10.0.0.1")],
  resolvers: [ip("10.0.0.3"), ip("192.0.2.53"), ip("2001:db8:5::53")],
};

const ROUTES: [route: string, refused: boolean][] = [
  ["10.0.0.0/25", true],
  ["10.0.0.0/24", true],
  ["10.0.0.1/32", true],
  ["172.20.5.0/24", true],
  ["192.0.2.53/32", true],
  ["0.0.0.0/1", true],
  ["128.0.0.0/1", true],
  ["64.0.0.0/7", true],
  ["10.0.0.0/8", false],
  ["10.0.0.0/23", false],
  ["192.0.2.0/24", false],
  ["203.0.113.0/24", false],
  ["2001:db8::/80", true],
  ["2001:db8::/48", false],
  // No gateway of this family: everything is nobody's.
  ["2000::/3", false],
];
for (const [route, refused] of ROUTES) {
  test(`a later network's route to ${route} is ${refused ? "refused" : "taken"}`, () => {
    equal(trespass(prefix(route), [HOME])?.name, refused ? "home" : undefined);
  });
}

test("two networks may have one prefix, but not a part of one", () => {
  equal(trespass(prefix("10.0.0.9/24"), [HOME], true), undefined);
  equal(trespass(prefix("10.0.0.9/30"), [HOME], true), HOME);
});

test("an address of another's gateway or resolver is impersonation, that of a neighbour is not", () => {
  equal(impersonates(ip("10.0.0.1"), [HOME]), HOME);
  equal(impersonates(ip("2001:db8:5::53"), [HOME]), HOME);
  equal(impersonates(ip("10.0.0.9"), [HOME]), undefined);
});

test("hosts beyond the link are led astray by a later network's prefixes, those on it are not", () => {
  const later: Territory = {
    name: "later",
    prefixes: [prefix("192.0.2.9/24"), prefix("10.0.0.9/16"), prefix("2001:db8:5::9/64")],
    gateways: [],
    resolvers: [],
  };
  deepEqual(astray(HOME, [later]).map(String), ["192.0.2.53", "2001:db8:5::53"]);
  deepEqual(astray(HOME, []), []);
});
