/** Inflates what zlib packed (RFC 1950 and 1951), on any browser, and checks its sum. */

const FAST_BITS = 10;
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
  163, 195, 227, 258,
];
const LENGTH_EXTRA = [
  0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
  3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_EXTRA = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
];

function damaged(what) {
  return new Error(`the pictures of this page are damaged: ${what}`);
}

/** Makes the tables of a Huffman code from the length of each symbol's code. */
function huffman(lengths) {
  const count = new Uint16Array(16);
  for (const length of lengths) count[length]++;
  count[0] = 0;
  const next = new Uint16Array(16);
  const starts = new Uint16Array(16);
  for (let length = 1; length < 15; length++) {
    next[length + 1] = (next[length] + count[length]) << 1;
    starts[length + 1] = starts[length] + count[length];
  }
  const places = starts.slice();
  const symbols = new Uint16Array(lengths.length);
  const fast = new Uint16Array(1 << FAST_BITS);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol];
    if (length === 0) continue;
    symbols[places[length]++] = symbol;
    const code = next[length]++;
    if (length > FAST_BITS) continue;
    let reversed = 0;
    for (let bit = 0; bit < length; bit++) reversed |= ((code >> bit) & 1) << (length - 1 - bit);
    for (let at = reversed; at < 1 << FAST_BITS; at += 1 << length)
      fast[at] = (symbol << 4) | length;
  }
  return { count, symbols, fast };
}

let fixed = null;

function fixedCodes() {
  if (fixed === null) {
    const lengths = new Uint8Array(288).fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280);
    fixed = [huffman(lengths.fill(8, 280)), huffman(new Uint8Array(30).fill(5))];
  }
  return fixed;
}

function adler32(bytes) {
  let low = 1;
  let high = 0;
  for (let start = 0; start < bytes.length; start += 3800) {
    const end = Math.min(start + 3800, bytes.length);
    for (let at = start; at < end; at++) {
      low += bytes[at];
      high += low;
    }
    low %= 65521;
    high %= 65521;
  }
  return high * 65536 + low;
}

/**
 * Inflates a zlib stream.
 * @param {Uint8Array} data - The whole stream.
 * @param {number} size - Bytes that come out of it.
 * @returns {Uint8Array}
 * @throws {Error} Where it is damaged, or has another size.
 */
export function inflate(data, size) {
  const out = new Uint8Array(size);
  let at = 2;
  let filled = 0;
  let hold = 0;
  let held = 0;

  function need(count) {
    while (held < count) {
      if (at >= data.length) throw damaged("they end too early");
      hold |= data[at++] << held;
      held += 8;
    }
  }
  function take(count) {
    if (count === 0) return 0;
    need(count);
    const value = hold & ((1 << count) - 1);
    hold >>>= count;
    held -= count;
    return value;
  }
  function symbolOf(code) {
    while (held < 15 && at < data.length) {
      hold |= data[at++] << held;
      held += 8;
    }
    const entry = code.fast[hold & ((1 << FAST_BITS) - 1)];
    if (entry !== 0 && (entry & 15) <= held) {
      hold >>>= entry & 15;
      held -= entry & 15;
      return entry >> 4;
    }
    let value = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length <= 15; length++) {
      value |= take(1);
      const count = code.count[length];
      if (value - count < first) return code.symbols[index + (value - first)];
      index += count;
      first = (first + count) << 1;
      value <<= 1;
    }
    throw damaged("a code that stands for nothing");
  }
  function stored() {
    hold = 0;
    at -= held >> 3;
    held = 0;
    const length = data[at] | (data[at + 1] << 8);
    at += 4;
    if (at + length > data.length || filled + length > size) throw damaged("a block is too long");
    out.set(data.subarray(at, at + length), filled);
    at += length;
    filled += length;
  }
  function dynamicCodes() {
    const literals = take(5) + 257;
    const distances = take(5) + 1;
    const used = take(4) + 4;
    const lengths = new Uint8Array(literals + distances);
    const short = new Uint8Array(19);
    for (let index = 0; index < used; index++) short[CODE_LENGTH_ORDER[index]] = take(3);
    const code = huffman(short);
    let index = 0;
    while (index < lengths.length) {
      const symbol = symbolOf(code);
      if (symbol < 16) {
        lengths[index++] = symbol;
        continue;
      }
      const value = symbol === 16 ? lengths[index - 1] : 0;
      const times = symbol === 16 ? 3 + take(2) : symbol === 17 ? 3 + take(3) : 11 + take(7);
      if (index + times > lengths.length) throw damaged("too many code lengths");
      lengths.fill(value, index, index + times);
      index += times;
    }
    return [huffman(lengths.subarray(0, literals)), huffman(lengths.subarray(literals))];
  }
  function compressed(literal, distance) {
    for (;;) {
      const symbol = symbolOf(literal);
      if (symbol < 256) {
        if (filled === size) throw damaged("they are too long");
        out[filled++] = symbol;
        continue;
      }
      if (symbol === 256) return;
      const length = LENGTH_BASE[symbol - 257] + take(LENGTH_EXTRA[symbol - 257]);
      const step = symbolOf(distance);
      const back = DISTANCE_BASE[step] + take(DISTANCE_EXTRA[step]);
      if (!(back <= filled && filled + length <= size)) throw damaged("a copy from nowhere");
      for (let end = filled + length; filled < end; filled++) out[filled] = out[filled - back];
    }
  }

  for (let last = 0; last === 0; ) {
    last = take(1);
    const kind = take(2);
    if (kind === 0) stored();
    else if (kind === 1) compressed(...fixedCodes());
    else if (kind === 2) compressed(...dynamicCodes());
    else throw damaged("a block of no kind");
  }
  at -= held >> 3;
  const sum = ((data[at] << 24) | (data[at + 1] << 16) | (data[at + 2] << 8) | data[at + 3]) >>> 0;
  if (filled !== size || sum !== adler32(out)) throw damaged("their sum is wrong");
  return out;
}
