import { test } from "node:test";
import { equal } from "node:assert/strict";
import { IpAddress } from "../../../lib/stack/wire/address.ts";
import { randomBytes, seeded } from "../../support/random.ts";

const TEXTS: [text: string, want: string | undefined][] = [
  ["0.0.0.0", "0.0.0.0"],
  ["255.255.255.255", "255.255.255.255"],
  ["10.0.2.100", "10.0.2.100"],
  ["10.0.2", undefined],
  ["10.0.2.256", undefined],
  ["10.0.2.01", undefined],
  ["10.0.2.1.", undefined],
  ["0x7f.0.0.1", undefined],
  [" 10.0.0.1", undefined],
  ["", undefined],
  ["::", "::"],
  ["::1", "::1"],
  ["fd00::", "fd00::"],
  ["2001:db8::1:0:0:1", "2001:db8::1:0:0:1"],
  // RFC 5952 section 4.2.3: the longest run, the first if there is a tie; 4.2.2: not a single group; 4.3: lower case.
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:DB8::A", "2001:db8::a"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ["::ffff:192.0.2.1", "::ffff:192.0.2.1"],
  ["64:ff9b::192.0.2.1", "64:ff9b::c000:201"],
  ["1:2:3:4:5:6:7:8:9", undefined],
  ["1:2:3:4:5:6:7", undefined],
  ["1::2::3", undefined],
  ["::12345", undefined],
  ["::g", undefined],
  [":1:2:3:4:5:6:7", undefined],
  ["1:2:3:4:5:6:7:", undefined],
  [":::", undefined],
  [":", undefined],
  ["fe80::1%eth0", undefined],
  ["::1.2.3.4:5", undefined],
  ["1:2:3:4:5:6:7:1.2.3.4", undefined],
];
for (const [text, want] of TEXTS) {
  test(`IpAddress.parse() reads "${text}" as ${want}`, () => equal(IpAddress.parse(text)?.toString(), want));
}

test("IpAddress.parse() reads what toString() wrote, and write() what readV6() read", () => {
  const seed = 41;
  const random = seeded(seed);
  for (let round = 0; round < 2_000; round++) {
    const bytes = randomBytes(random, 16);
    for (let i = 0; i < 16; i++) if ((random() & 1) === 0) bytes[i] = 0;
    const view = new DataView(bytes.buffer);
    for (const address of [IpAddress.readV6(view, 0), IpAddress.readV4(view, 3)]) {
      const again = IpAddress.parse(address.toString());
      equal(again?.equals(address), true, `${address} seed ${seed}`);
      equal(again?.hash(), address.hash());
      const out = new DataView(new ArrayBuffer(16));
      equal(address.write(out, 0), address.family === 4 ? 4 : 16);
      equal(
        (address.family === 4 ? IpAddress.readV4(out, 0) : IpAddress.readV6(out, 0)).equals(address),
        true,
      );
    }
  }
});

const KINDS: [text: string, kinds: string][] = [
  ["0.0.0.0", "unspecified"],
  ["::", "unspecified"],
  ["127.0.0.1", "loopback"],
  ["127.255.255.255", "loopback"],
  ["126.255.255.255", ""],
  ["::1", "loopback"],
  ["::ffff:127.0.0.1", "loopback mapped"],
  ["::ffff:10.0.0.1", "mapped"],
  ["::2", ""],
  ["224.0.0.1", "multicast"],
  ["239.255.255.255", "multicast"],
  ["240.0.0.1", ""],
  ["255.255.255.255", "broadcast"],
  ["ff02::1", "multicast"],
  ["169.254.1.1", "link-local"],
  ["fe80::1", "link-local"],
  ["febf::1", "link-local"],
  ["fec0::1", ""],
  ["10.0.0.1", ""],
];
for (const [text, want] of KINDS) {
  test(`IpAddress knows that ${text} is ${want || "nothing special"}`, () => {
    const address = IpAddress.parse(text)!;
    const kinds: [name: string, is: boolean][] = [
      ["unspecified", address.isUnspecified()],
      ["loopback", address.isLoopback()],
      ["mapped", address.isV4Mapped()],
      ["multicast", address.isMulticast()],
      ["broadcast", address.isLimitedBroadcast()],
      ["link-local", address.isLinkLocal()],
    ];
    equal(kinds.filter(([, is]) => is).map(([name]) => name).join(" "), want);
  });
}
