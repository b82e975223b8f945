/**
 * DNS zones as gvproxy writes them: `{"Name","Records":[{"Name","IP","Regexp"}],"DefaultIP"}`.
 *
 * @module
 */

import type { ServeFacts } from "../../engine/messages.ts";
import { type Fields, isObject, lowerCased, Refusal, textOf } from "./reply.ts";

type ZoneFacts = ServeFacts["zones"][number];

/** A zone in gvproxy's words. */
export function zoneJson({ name, records, defaultIp }: ZoneFacts) {
  return {
    Name: name,
    // Go's nil slice.
    Records: records.length === 0 ? null : records.map((record) => ({
      Name: record.name ?? "",
      IP: record.ip ?? "",
      Regexp: record.regexp ?? null,
    })),
    DefaultIP: defaultIp ?? "",
  };
}

/** Reads a zone, whose keys are in lower case. Throws a {@linkcode Refusal}. */
export function zoneOf(fields: Fields): ZoneFacts {
  const records = fields["records"] ?? [];
  if (!Array.isArray(records)) throw new Refusal(400, "Records is not a list");
  const defaultIp = textOf(fields, "defaultip");
  return {
    name: textOf(fields, "name"),
    records: records.map((record: unknown) => {
      if (!isObject(record)) throw new Refusal(400, "a record is not an object");
      const lower = lowerCased(record);
      const regexp = textOf(lower, "regexp");
      return {
        name: textOf(lower, "name"),
        ip: textOf(lower, "ip"),
        ...(regexp === "" ? {} : { regexp }),
      };
    }),
    ...(defaultIp === "" ? {} : { defaultIp }),
  };
}

/** What the engine says of a zone that it cannot use, in gvproxy's status and words. */
export function zoneRefusal(message: string): Refusal {
  const ip = /: "(.*)" is not an IP address$/.exec(message)?.[1];
  if (ip !== undefined) return new Refusal(400, `invalid IP address: ${ip}`);
  const pattern = /: (".*") is not a regular expression: (.*)$/.exec(message);
  if (pattern !== null) return new Refusal(400, `error parsing regexp: ${pattern[2]}: ${pattern[1]}`);
  return new Refusal(500, message);
}
