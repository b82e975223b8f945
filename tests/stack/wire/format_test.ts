import { test } from "node:test";
import { equal, match } from "node:assert/strict";
import { formatFrame } from "../../../lib/stack/wire/format.ts";
import { hex } from "../../support/bytes.ts";
import { type FrameName, FRAMES } from "../../support/frames.ts";
import { pick, randomBytes, seeded } from "../../support/random.ts";

const LINES: Record<FrameName, string> = {
  arpRequest: "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28",
  arpReply: "ARP, Reply 10.0.0.2 is-at 02:00:00:00:00:0b, length 28",
  echoRequest4: "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 9776, seq 1, length 16",
  echoReply4: "IP 10.0.0.2 > 10.0.0.1: ICMP echo reply, id 9776, seq 1, length 16",
  syn4: "IP 10.0.0.1.37050 > 10.0.0.2.80: Flags [S], seq 2282609528, win 64240, " +
    "options [mss 1460,sackOK,TS val 2616899449 ecr 0,wscale 10], length 0",
  synAck4: "IP 10.0.0.2.8080 > 10.0.0.1.58690: Flags [S.], seq 3473319189, ack 1674502598, win 65160, " +
    "options [mss 1460,sackOK,TS val 4271642094 ecr 613724501,wscale 10], length 0",
  ack4: "IP 10.0.0.1.58690 > 10.0.0.2.8080: Flags [.], seq 1674502598, ack 3473319190, win 63, " +
    "options [TS val 613724501 ecr 4271642094], length 0",
  data4:
    "IP 10.0.0.2.8080 > 10.0.0.1.58690: Flags [P.], seq 3473319190:3473319192, ack 1674502598, win 64, " +
    "options [TS val 4271642094 ecr 613724501], length 2",
  udp4: "IP 10.0.0.1.52055 > 10.0.0.2.53: UDP, length 5",
  unreachable4: "IP 10.0.0.2 > 10.0.0.1: ICMP 10.0.0.2 udp 53 port unreachable, length 41",
  neighbourSolicitation:
    "IP6 fd00::1 > ff02::1:ff00:2: ICMP6, neighbor solicitation, who has fd00::2, length 32",
  neighbourAdvertisement: "IP6 fd00::2 > fd00::1: ICMP6, neighbor advertisement, tgt is fd00::2, length 32",
  duplicateDetection:
    "IP6 :: > ff02::1:ff00:a: ICMP6, neighbor solicitation, who has fe80::ff:fe00:a, length 32",
  routerSolicitation: "IP6 fe80::ff:fe00:b > ff02::2: ICMP6, router solicitation, length 16",
  listenerReport: "IP6 fe80::ff:fe00:a > ff02::16: ICMP6, [unknown-type], length 48",
  echoRequest6: "IP6 fd00::1 > fd00::2: ICMP6, echo request, id 9777, seq 1, length 16",
  syn6: "IP6 fd00::1.33646 > fd00::2.80: Flags [S], seq 2250220039, win 64800, " +
    "options [mss 1440,sackOK,TS val 1463415102 ecr 0,wscale 10], length 0",
  udp6: "IP6 fd00::1.35985 > fd00::2.53: UDP, length 5",
  unreachable6: "IP6 fd00::2 > fd00::1: ICMP6, fd00::2 udp 53 port unreachable, length 61",
};
for (const [name, line] of Object.entries(LINES)) {
  test(`formatFrame() describes ${name} as tcpdump does`, () =>
    equal(formatFrame(FRAMES[name as FrameName]), line));
}

const ODD: [bytes: string, line: string][] = [
  ["", "Ethernet [truncated], length 0"],
  [
    "020000000001 020000000002 8100 0001",
    "02:00:00:00:00:02 > 02:00:00:00:00:01, ethertype 0x8100, length 16",
  ],
  ["020000000001 020000000002 0800", "IP [truncated], length 0"],
  ["020000000001 020000000002 86dd 60", "IP6 [truncated], length 1"],
  ["020000000001 020000000002 0806 0001", "ARP [truncated], length 2"],
];
for (const [bytes, line] of ODD) {
  test(`formatFrame() says "${line}"`, () => equal(formatFrame(hex(bytes)), line));
}

test("formatFrame() describes fragments", () => {
  const frame = FRAMES.udp4.slice();
  frame.set([0x20, 0x00, 0x40, 0x11, 0xb2, 0x19], 20);
  frame[16 + 1] = 20 + 8;
  frame.set([0xb2, 0x1e], 24);
  equal(formatFrame(frame.subarray(0, 42)), "IP 10.0.0.1 > 10.0.0.2: frag (0x94b0:0|8+) protocol 17");
});

test("formatFrame() has one line for anything", () => {
  const seed = 31;
  const random = seeded(seed);
  const frames = Object.values(FRAMES);
  for (let round = 0; round < 2_000; round++) {
    const frame = round % 4 === 0 ? randomBytes(random, random() % 100) : pick(random, frames).slice();
    if (frame.length > 0) {
      for (let i = random() % 4; i >= 0; i--) frame[random() % frame.length] = random();
    }
    match(
      formatFrame(frame.slice(0, random() % (frame.length + 1))),
      /^[\x20-\x7e]+$/,
      `seed ${seed} round ${round}`,
    );
  }
});
