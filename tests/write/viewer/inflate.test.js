import assert from "node:assert/strict";
import { test } from "node:test";
import { constants, deflateSync } from "node:zlib";

import { inflate } from "../../../src/ichlite/write/viewer/inflate.js";

/** Numbers that look random and are the same in every run. */
function numbers(count, most, seed = 1) {
  let state = seed;
  return Uint8Array.from({ length: count }, () => {
    state = (state * 48271) % 2147483647;
    return state % most;
  });
}

const SKEWED = Uint8Array.from(numbers(70000, 251), (value) => (value * value * value) >> 16);
const CASES = {
  nothing: new Uint8Array(0),
  "one byte": Uint8Array.of(7),
  "one byte often": new Uint8Array(100000).fill(3),
  noise: numbers(100000, 256),
  "few values": numbers(100000, 5),
  "codes longer than the fast table": SKEWED,
  "a pattern further back than a block": Uint8Array.from([
    ...numbers(30000, 256),
    ...numbers(30000, 256),
  ]),
};
const SETTINGS = [
  { level: 0 },
  { level: 1 },
  { level: 6, strategy: constants.Z_FILTERED, memLevel: 9 },
  { level: 9 },
  { level: 6, strategy: constants.Z_FIXED },
  { level: 6, strategy: constants.Z_HUFFMAN_ONLY },
];

for (const [name, bytes] of Object.entries(CASES)) {
  for (const setting of SETTINGS) {
    test(`${name}, packed with ${JSON.stringify(setting)}, comes back`, () => {
      assert.deepEqual(inflate(deflateSync(bytes, setting), bytes.length), bytes);
    });
  }
}

test("what is damaged is never shown: it throws, and comes to an end", () => {
  const packed = deflateSync(SKEWED);
  for (let at = 2; at < packed.length; at += 97) {
    const bad = Uint8Array.from(packed);
    bad[at] ^= 1 << (at % 8);
    assert.throws(() => inflate(bad, SKEWED.length), /damaged/);
  }
  for (const length of [0, 2, 3, 40, packed.length - 5, packed.length - 1]) {
    assert.throws(() => inflate(packed.subarray(0, length), SKEWED.length), /damaged/);
  }
  assert.throws(() => inflate(packed, SKEWED.length - 1), /damaged/);
  assert.throws(() => inflate(packed, SKEWED.length + 1), /damaged/);
});
