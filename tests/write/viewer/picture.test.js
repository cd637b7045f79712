import assert from "node:assert/strict";
import { test } from "node:test";

import {
  around,
  fit,
  greysOf,
  heat,
  held,
  huOfLevels,
  outline,
  paint,
  paintMap,
  ruler,
  valueAt,
} from "../../../src/ichlite/write/viewer/picture.js";

const RANGES = [
  [-1024, 124, 1],
  [-900, 10, 2],
  [-880, 1, 3],
];

test("a level stands for the middle of its HU", () => {
  assert.deepEqual(Array.from(huOfLevels(RANGES)), [-962, -895, -885, -880, -879, -878]);
});

test("a window makes its lower end black, its middle grey, its upper end white", () => {
  const greys = greysOf(Int16Array.of(-1000, 0, 20, 40, 80, 3000), 40, 80);
  assert.deepEqual(
    Array.from(greys, (pixel) => pixel & 255),
    [0, 0, 64, 128, 255, 255],
  );
  assert.ok(greys.every((pixel) => pixel >>> 24 === 255));
  const narrow = greysOf(Int16Array.of(39, 40, 41), 40, 1);
  assert.deepEqual(
    Array.from(narrow, (pixel) => pixel & 255),
    [0, 128, 255],
  );
});

test("levels are painted in their grey, opaque", () => {
  const image = { width: 2, height: 1, data: new Uint8ClampedArray(8) };
  paint(Int16Array.of(1, 0), greysOf(Int16Array.of(0, 80), 40, 80), image);
  assert.deepEqual(Array.from(image.data), [255, 255, 255, 255, 0, 0, 0, 255]);
});

test("colours of the map grow steadily lighter", () => {
  let before = -1;
  for (let value = 0; value <= 1; value += 0.02) {
    const [red, green, blue] = heat(value);
    const light = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    assert.ok(light > before, `${value}`);
    before = light;
  }
});

test("a map is linear between the centres of its cells, and flat beyond", () => {
  const cells = Uint8Array.of(0, 64, 128, 192);
  const near = (value, byte) => assert.ok(Math.abs(value - (byte + 0.5) / 256) < 1e-9);
  near(valueAt(cells, 2, 2, 0, 0), 0);
  near(valueAt(cells, 2, 2, 0.5, 1.5), 64);
  near(valueAt(cells, 2, 2, 1, 1), 96);
  near(valueAt(cells, 2, 2, 2, 2), 192);
});

const MAP = { rows: 4, columns: 4, level: 0.5 };

function spot() {
  const cells = new Uint8Array(16);
  cells[1 * 4 + 2] = 255;
  return cells;
}

test("a map is painted only where it reaches the level", () => {
  const image = { width: 64, height: 64, data: new Uint8ClampedArray(64 * 64 * 4) };
  paintMap(spot(), MAP, image);
  const painted = (row, column) => image.data[4 * (64 * row + column) + 3];
  assert.ok(painted(24, 40) > 200);
  assert.equal(painted(24, 8), 0);
  assert.equal(painted(56, 40), 0);
  const shares = Array.from({ length: 64 * 64 }, (_, at) => image.data[4 * at + 3]);
  assert.ok(shares.every((alpha) => alpha === 0 || alpha >= 127));
});

test("the outline is closed, around what reaches the level", () => {
  const lines = outline(spot(), MAP);
  assert.equal(lines.length, 4);
  const ends = new Map();
  for (const [x, y, u, v] of lines) {
    for (const end of [`${x.toFixed(6)},${y.toFixed(6)}`, `${u.toFixed(6)},${v.toFixed(6)}`]) {
      ends.set(end, (ends.get(end) || 0) + 1);
    }
    assert.ok(Math.hypot(x - 2.5, y - 1.5) <= 0.51);
  }
  assert.ok(Array.from(ends.values()).every((count) => count === 2));
  assert.deepEqual(outline(new Uint8Array(16), MAP), []);
  assert.deepEqual(outline(new Uint8Array(16).fill(255), MAP), []);
});

const STAGE = { width: 800, height: 400 };
const PIXELS = { rows: 512, columns: 512, row_mm: 0.5, column_mm: 0.5 };

test("a picture fits the stage with its true sides", () => {
  assert.deepEqual(fit(PIXELS, STAGE, 1, { x: 0, y: 0 }), {
    x: 200,
    y: 0,
    width: 400,
    height: 400,
  });
  const tall = fit({ ...PIXELS, row_mm: 1 }, STAGE, 1, { x: 0, y: 0 });
  assert.deepEqual(tall, { x: 300, y: 0, width: 200, height: 400 });
  const unknown = fit({ ...PIXELS, row_mm: null, column_mm: null }, STAGE, 2, { x: 10, y: 0 });
  assert.deepEqual(unknown, { x: 10, y: -200, width: 800, height: 800 });
});

test("no move takes the picture off the stage", () => {
  const box = fit(PIXELS, STAGE, 3, { x: 0, y: 0 });
  assert.deepEqual(held({ x: 9999, y: -9999 }, box, STAGE), { x: 200, y: -400 });
  const small = fit(PIXELS, STAGE, 1, { x: 0, y: 0 });
  assert.deepEqual(held({ x: 50, y: 50 }, small, STAGE), { x: 50, y: 0 });
  assert.deepEqual(held({ x: -500, y: 0 }, small, STAGE), { x: -200, y: 0 });
});

test("a box of the picture is brought to fill the stage, but for room for letters", () => {
  const { zoom, move } = around({ x: 300, y: 0, width: 100, height: 200 }, STAGE);
  assert.equal(zoom, 0.93 * 2);
  const box = fit(PIXELS, STAGE, zoom, move);
  // What was at (350, 100), the middle of the box, is now in the middle of the stage.
  assert.ok(Math.abs(box.x + ((350 - 200) / 400) * box.width - 400) < 1e-9);
  assert.ok(Math.abs(box.y + (100 / 400) * box.height - 200) < 1e-9);
});

test("the ruler is round, and as long as it says", () => {
  assert.deepEqual(ruler(2, 800), { cm: 10, width: 200 });
  assert.deepEqual(ruler(1.6, 390), { cm: 5, width: 80 });
  assert.equal(ruler(1000, 100), null);
});
