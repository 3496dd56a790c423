/** The binary tile: header and cells as the server lays them out (docs/wire.md). */

export const HEADER_BYTES = 96;
export const PLANES = 6;

export interface Tile {
  readonly columns: number;
  readonly bins: number;
  readonly filledColumns: number;
  readonly startMs: number;
  readonly columnMs: number;
  readonly binWidth: number;
  readonly firstBin: number;
  readonly complete: boolean;
  readonly floorUsd: number;
  readonly topUsd: number;
  readonly mark: number;
  readonly revision: number;
  readonly base: string;
  readonly venue: string;
  /** [side * 3 + band][column][bin] */
  readonly cells: Uint8Array;
}

export class TileError extends Error {}

export function decodeTile(buffer: ArrayBuffer): Tile {
  const view = new DataView(buffer);
  if (buffer.byteLength < HEADER_BYTES || view.getUint32(0, false) !== 0x4c515431) throw new TileError("not a tile");
  if (view.getUint16(4, true) !== 1) throw new TileError(`tile version ${view.getUint16(4, true)}`);
  const columns = view.getUint16(6, true);
  const bins = view.getUint16(8, true);
  const planes = view.getUint16(10, true);
  const expected = HEADER_BYTES + planes * columns * bins;
  if (planes !== PLANES || buffer.byteLength !== expected) throw new TileError(`tile of ${buffer.byteLength} bytes`);
  return {
    columns,
    bins,
    filledColumns: view.getUint32(12, true),
    startMs: view.getFloat64(16, true),
    columnMs: view.getFloat64(24, true),
    binWidth: view.getFloat64(32, true),
    firstBin: view.getInt32(40, true),
    complete: (view.getUint32(44, true) & 1) === 1,
    floorUsd: view.getFloat32(48, true),
    topUsd: view.getFloat32(52, true),
    mark: view.getFloat32(56, true),
    revision: view.getUint32(60, true),
    base: text(buffer, 64),
    venue: text(buffer, 80),
    cells: new Uint8Array(buffer, HEADER_BYTES),
  };
}

/** zlib, as the live column and the page's first tile are sent. */
export async function inflate(data: BlobPart): Promise<ArrayBuffer> {
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

function text(buffer: ArrayBuffer, at: number): string {
  const bytes = new Uint8Array(buffer, at, 16);
  let out = "";
  for (const byte of bytes) if (byte) out += String.fromCharCode(byte);
  return out;
}

/** USD of each of the 256 cell values. */
export function cellUsd(floorUsd: number, topUsd: number): Float64Array {
  const table = new Float64Array(256);
  for (let v = 1; v < 256; v++) table[v] = floorUsd * (topUsd / floorUsd) ** ((v - 1) / 254);
  return table;
}

/** Planes chosen by the filters: index side * 3 + band. */
export function planesOf(sides: readonly boolean[], bands: readonly boolean[]): number[] {
  const out: number[] = [];
  for (let side = 0; side < 2; side++) for (let band = 0; band < 3; band++) if (sides[side] && bands[band]) out.push(side * 3 + band);
  return out;
}

/** Whether anything is known of a column: every known one holds something on some plane. */
export function hasColumn({ columns, bins, cells }: Tile, column: number): boolean {
  for (let p = 0; p < PLANES; p++) {
    const from = (p * columns + column) * bins;
    for (let i = from; i < from + bins; i++) if (cells[i]) return true;
  }
  return false;
}

/**
 * One picture out of the chosen planes, u8[columns][bins]: 0 = no such column, 1 = nothing there,
 * 2..255 = log scale from floor to top. Sums are of dollars, never of cells.
 */
export function sumPlanes(tile: Tile, planes: readonly number[]): Uint8Array {
  const { columns, bins, cells } = tile;
  const usd = cellUsd(tile.floorUsd, tile.topUsd);
  const step = 253 / Math.log(tile.topUsd / tile.floorUsd);
  const plane = columns * bins;
  const out = new Uint8Array(plane);
  for (let c = 0; c < columns; c++) {
    if (!hasColumn(tile, c)) continue;
    for (let i = c * bins; i < (c + 1) * bins; i++) {
      let sum = 0;
      for (const p of planes) sum += usd[cells[p * plane + i] ?? 0] ?? 0;
      out[i] = sum < tile.floorUsd ? 1 : Math.min(255, 2 + Math.round(step * Math.log(sum / tile.floorUsd)));
    }
  }
  return out;
}
