/**
 * The little of RFC 1035 that a relay must know: which question an answer belongs to, and how to say "failed".
 *
 * ```text
 *   0  id (16)
 *   2  QR(1) opcode(4) AA TC RD | RA Z AD CD rcode(4)
 *   4  QDCOUNT  6 ANCOUNT  8 NSCOUNT  10 ARCOUNT
 *  12  question: labels, type (16), class (16)
 * ```
 *
 * @module
 */

/** Bytes of the header. */
export const DNS_HEADER = 12;

/** Response codes (RFC 1035 section 4.1.1). */
export const Rcode = { noError: 0, serverFailure: 2, refused: 5 } as const;

const QR = 0x80;
const OPCODE_AND_RD = 0x79;
const RA = 0x80;

/** Whether `[start, end)` can be a question: a header that is not a response's. */
export function isQuery(view: DataView, start: number, end: number): boolean {
  return end - start >= DNS_HEADER && (view.getUint8(start + 2) & QR) === 0;
}

/** Whether `[start, end)` can be a response to the question with this id. */
export function isResponse(view: DataView, start: number, end: number, id: number): boolean {
  return end - start >= DNS_HEADER && view.getUint16(start) === id && (view.getUint8(start + 2) & QR) !== 0;
}

/** Id of the message at `start`. */
export function messageId(view: DataView, start: number): number {
  return view.getUint16(start);
}

/** Response code of the message at `start`, without the bits that EDNS adds. */
export function responseCode(view: DataView, start: number): number {
  return view.getUint8(start + 3) & 15;
}

/**
 * Turns the question in `[start, end)` into a SERVFAIL answer to it, in place.
 *
 * @returns where the answer ends
 */
export function toServerFailure(view: DataView, start: number, end: number): number {
  view.setUint8(start + 2, (view.getUint8(start + 2) & OPCODE_AND_RD) | QR);
  view.setUint8(start + 3, RA | Rcode.serverFailure);
  const questionEnd = view.getUint16(start + 4) === 1
    ? endOfQuestion(view, start + DNS_HEADER, end)
    : undefined;
  // The question comes back if it can be read; whatever followed it (EDNS options, a signature) was the client's own.
  view.setUint16(start + 4, questionEnd === undefined ? 0 : 1);
  view.setUint16(start + 6, 0);
  view.setUint16(start + 8, 0);
  view.setUint16(start + 10, 0);
  return questionEnd ?? start + DNS_HEADER;
}

/** Where the question at `at` ends; undefined if it does not, before `end`. */
function endOfQuestion(view: DataView, at: number, end: number): number | undefined {
  while (at < end) {
    const length = view.getUint8(at++);
    if (length > 63) return undefined; // compression has no place in a first name
    if (length === 0) return at + 4 <= end ? at + 4 : undefined;
    at += length;
  }
  return undefined;
}
