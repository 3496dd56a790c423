/** Everything that is not drawing: socket, decoding, tiles. Posts at most one message a topic and frame. */
import { decodeTile, inflate } from "../wire/tile";
import type { ServerMessage } from "../wire/types";
import type { FromWorker, ToWorker } from "./protocol";
import { LiveSocket } from "./socket";
import { columnOf, place } from "./place";
import { TileCache } from "./tiles";

const FRAME_MS = 50;
let socket: LiveSocket | null = null;
let origin = "";
let view: Extract<ToWorker, { k: "view" }>["view"] | null = null;
const waiting = new Map<string, ServerMessage>();

const post = (message: FromWorker, transfer: Transferable[] = []): void => {
  (self as unknown as DedicatedWorkerGlobalScope).postMessage(message, transfer);
};
const tiles = new TileCache(post, () => origin);

/** Messages that carry a state replace each other; the tape is a stream and never loses a row. */
function conflate(message: ServerMessage): void {
  if (message.t === "hello") tiles.setDataset(message.dataset);
  if (message.t === "tape") {
    const key = `tape:${message.base}`;
    const held = waiting.get(key);
    const rows = held?.t === "tape" ? [...held.rows, ...message.rows] : message.rows;
    waiting.set(key, { ...message, rows });
    return;
  }
  waiting.set("base" in message ? `${message.t}:${message.base}` : message.t, message);
}

async function live(data: ArrayBuffer): Promise<void> {
  const tile = decodeTile(await inflate(data));
  if (!view || tile.base !== view.base || tile.venue !== view.filters.venue) return;
  const now = columnOf(tile, 0);
  const placed = place(tile, { columnS: 10, level: 0, timeIndex: 0, priceIndex: 0 }, view);
  post({ k: "live", tile: placed, now }, [now.usd.buffer as ArrayBuffer, placed.cells.buffer as ArrayBuffer]);
}

setInterval(() => {
  for (const message of waiting.values()) post({ k: "message", message });
  waiting.clear();
}, FRAME_MS);
setInterval(() => tiles.refresh(), 10_000);

self.onmessage = (event: MessageEvent<ToWorker>) => {
  const message = event.data;
  if (message.k === "open") {
    origin = message.origin;
    socket = new LiveSocket(message.url, {
      status: (state, retryMs) => {
        post({ k: "status", state, retryMs });
        if (state === "open") tiles.refresh(); // what a silent server did not answer
      },
      message: conflate,
      binary: (data) => void live(data),
    });
  } else if (message.k === "topics") socket?.subscribe(message.topics, message.wish);
  else if (message.k === "view") tiles.show((view = message.view), message.blank);
  else if (message.k === "expect") tiles.expect(message.names);
  else if (message.k === "seed") tiles.seed(message.name, message.bytes, message.etag);
  else if (message.k === "read") post({ k: "reading", id: message.id, reading: tiles.read(message.atMs, message.price) });
  else socket?.wake();
};
