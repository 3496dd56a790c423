/** The heat map: one quad a tile, one byte a cell, coloured by a palette on the GPU. */
import type { Viewport } from "../state/viewport";
import type { PlacedTile } from "../worker/protocol";

export interface HeatSurface {
  readonly kind: "webgl2" | "2d";
  put(tile: PlacedTile): void;
  forget(): void;
  palette(rgba: Uint8Array): void;
  /** false: not ready yet, ask again. Tiles of these widths are drawn last; `liveFromMs` to `liveToMs` is where the newest column stands. */
  draw(view: Viewport, columnS: number, level: number, liveFromMs: number, liveToMs: number): boolean;
  live(tile: PlacedTile): void;
  readonly tiles: number;
}

export const keyOf = (t: PlacedTile): string => `${t.columnS}/${t.level}/${t.timeIndex}/${t.priceIndex}`;
const KEPT = 320;

export interface Quad {
  readonly tile: PlacedTile;
  /** 0..1 of the window, y downwards */
  readonly x0: number;
  readonly x1: number;
  readonly y0: number;
  readonly y1: number;
}

export function quad(tile: PlacedTile, v: Viewport, fromMs: number, toMs: number): Quad {
  const x = (ms: number): number => (ms - v.t0) / (v.t1 - v.t0);
  const y = (log: number): number => (v.y1 - log) / (v.y1 - v.y0);
  const top = (tile.firstBin + tile.bins) * tile.binWidth;
  return { tile, x0: x(fromMs), x1: x(toMs), y0: y(top), y1: y(tile.firstBin * tile.binWidth) };
}

/** What is on screen, from the ground up: coarse before fine, other widths before those of this zoom. */
export function quads(
  tiles: Iterable<PlacedTile>,
  v: Viewport,
  columnS: number,
  level: number,
): Quad[] {
  const rank = (t: PlacedTile): number => (t.columnS === columnS && t.level === level ? 1 : 0);
  return [...tiles]
    .sort((a, b) => rank(a) - rank(b) || b.level - a.level || b.columnS - a.columnS)
    .map((t) => quad(t, v, t.startMs, t.startMs + t.columns * t.columnMs))
    .filter((q) => q.x1 > 0 && q.x0 < 1 && q.y1 > 0 && q.y0 < 1);
}

export class TileStore {
  readonly map = new Map<string, PlacedTile>();
  put(tile: PlacedTile, dropped: (key: string) => void): string {
    const key = keyOf(tile);
    this.map.delete(key);
    this.map.set(key, tile);
    for (const oldest of this.map.keys()) {
      if (this.map.size <= KEPT) break;
      this.map.delete(oldest);
      dropped(oldest);
    }
    return key;
  }
}

const VERTEX = `#version 300 es
uniform vec4 box;
out vec2 at;
void main() {
  vec2 unit = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  at = unit;
  vec2 p = mix(box.xy, box.zw, unit);
  gl_Position = vec4(p.x * 2.0 - 1.0, 1.0 - p.y * 2.0, 0.0, 1.0);
}`;

// A texture row is a column of the map; bins run upwards, the window runs downwards.
const FRAGMENT = `#version 300 es
precision highp float;
uniform highp sampler2D cells;
uniform highp sampler2D colours;
in vec2 at;
out vec4 colour;
void main() {
  ivec2 size = textureSize(cells, 0);
  int bin = clamp(int((1.0 - at.y) * float(size.x)), 0, size.x - 1);
  int column = clamp(int(at.x * float(size.y)), 0, size.y - 1);
  int v = int(texelFetch(cells, ivec2(bin, column), 0).r * 255.0 + 0.5);
  if (v == 0) discard;
  colour = texelFetch(colours, ivec2(v, 0), 0);
}`;

export class HeatGl implements HeatSurface {
  readonly kind = "webgl2";
  private store = new TileStore();
  private textures = new Map<string, WebGLTexture>();
  private newest: PlacedTile | null = null;
  private colours: Uint8Array<ArrayBufferLike> = new Uint8Array(1024);
  private program!: WebGLProgram;
  private colourTexture!: WebGLTexture;
  private box: WebGLUniformLocation | null = null;
  private compiled = false;

  constructor(
    private readonly gl: WebGL2RenderingContext,
    private readonly canvas: HTMLCanvasElement,
  ) {
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.textures.clear();
      this.prepare();
      this.palette(this.colours);
    });
    this.prepare();
  }

  get tiles(): number {
    return this.store.map.size;
  }

  put(tile: PlacedTile): void {
    const key = this.store.put(tile, (gone) => this.drop(gone));
    this.drop(key);
  }

  live(tile: PlacedTile): void {
    this.newest = tile;
    this.drop("live");
  }

  forget(): void {
    for (const key of [...this.textures.keys()]) this.drop(key);
    this.store.map.clear();
    this.newest = null;
  }

  palette(rgba: Uint8Array): void {
    const { gl } = this;
    this.colours = rgba;
    gl.bindTexture(gl.TEXTURE_2D, this.colourTexture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
    nearest(gl);
  }

  draw(v: Viewport, columnS: number, level: number, liveFromMs: number, liveToMs: number): boolean {
    const { gl } = this;
    if (gl.isContextLost()) return true;
    if (!this.ready()) return false;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.useProgram(this.program);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.colourTexture);
    gl.activeTexture(gl.TEXTURE0);
    for (const q of quads(this.store.map.values(), v, columnS, level)) this.one(q, keyOf(q.tile));
    if (this.newest) this.one(quad(this.newest, v, liveFromMs, liveToMs), "live");
    return true;
  }

  private one(q: Quad, key: string): void {
    const { gl } = this;
    gl.bindTexture(gl.TEXTURE_2D, this.texture(key, q.tile));
    gl.uniform4f(this.box, q.x0, q.y0, q.x1, q.y1);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  private texture(key: string, tile: PlacedTile): WebGLTexture {
    const { gl } = this;
    const held = this.textures.get(key);
    if (held) return held;
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, tile.bins, tile.columns, 0, gl.RED, gl.UNSIGNED_BYTE, tile.cells);
    nearest(gl);
    this.textures.set(key, texture);
    return texture;
  }

  private drop(key: string): void {
    const texture = this.textures.get(key);
    if (texture) this.gl.deleteTexture(texture);
    this.textures.delete(key);
  }

  private prepare(): void {
    const { gl } = this;
    this.program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
      const shader = gl.createShader(kind);
      if (!shader) return;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
    }
    gl.linkProgram(this.program);
    this.colourTexture = gl.createTexture();
    this.compiled = false;
  }

  /** The driver compiles beside us: asking before it is done would hold up the page for it. */
  private ready(): boolean {
    if (this.compiled) return true;
    const { gl } = this;
    const beside = gl.getExtension("KHR_parallel_shader_compile");
    if (beside && !gl.getProgramParameter(this.program, beside.COMPLETION_STATUS_KHR)) return false;
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new Error(`heat map: ${gl.getProgramInfoLog(this.program) ?? "no program"}`);
    }
    gl.useProgram(this.program);
    this.box = gl.getUniformLocation(this.program, "box");
    gl.uniform1i(gl.getUniformLocation(this.program, "cells"), 0);
    gl.uniform1i(gl.getUniformLocation(this.program, "colours"), 1);
    this.compiled = true;
    return true;
  }
}

function nearest(gl: WebGL2RenderingContext): void {
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
}
