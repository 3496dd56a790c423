/** Drag pans; two fingers scale each axis by itself; a long press or a mouse aims; two taps fit. */

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface GestureEvents {
  pan(dx: number, dy: number): void;
  /** factors below 1 zoom in */
  zoom(at: Point, fx: number, fy: number): void;
  aim(at: Point): void;
  /** a tap without a drag */
  tap(at: Point): void;
  leave(): void;
  fit(): void;
  /** Where the wheel scales the price axis alone. */
  onAxis(at: Point): boolean;
}

const LONG_PRESS_MS = 350;
const DOUBLE_MS = 300;
const SLOP = 7;

export function listen(box: HTMLElement, on: GestureEvents): () => void {
  const down = new Map<number, Point>();
  let press: ReturnType<typeof setTimeout> | undefined;
  let aiming = false;
  let moved = 0;
  let tapMs = 0;
  const at = (e: MouseEvent): Point => {
    const r = box.getBoundingClientRect();
    return { x: e.clientX - r.left, y: e.clientY - r.top };
  };
  const start = (e: PointerEvent): void => {
    if (e.target instanceof Element && e.target.closest("button")) return;
    box.setPointerCapture(e.pointerId);
    down.set(e.pointerId, at(e));
    moved = 0;
    clearTimeout(press);
    if (down.size > 1 || e.pointerType === "mouse") return;
    press = setTimeout(() => {
      aiming = true;
      for (const p of down.values()) on.aim(p);
    }, LONG_PRESS_MS);
  };
  const move = (e: PointerEvent): void => {
    const p = at(e);
    const before = down.get(e.pointerId);
    if (!before) {
      if (e.pointerType === "mouse") on.aim(p);
      return;
    }
    moved += Math.abs(p.x - before.x) + Math.abs(p.y - before.y);
    if (moved > SLOP && !aiming) clearTimeout(press);
    if (aiming) on.aim(p);
    else if (down.size === 1 && moved > SLOP) on.pan(p.x - before.x, p.y - before.y);
    else if (down.size === 2) {
      const other = [...down.entries()].find(([id]) => id !== e.pointerId)?.[1];
      // An axis along which the fingers lie close together is not scaled: noise would.
      const ratio = (a: number, b: number): number => (Math.abs(a) > 30 && Math.abs(b) > 30 ? Math.abs(a / b) : 1);
      if (other) on.zoom({ x: (p.x + other.x) / 2, y: (p.y + other.y) / 2 }, ratio(before.x - other.x, p.x - other.x), ratio(before.y - other.y, p.y - other.y));
    }
    down.set(e.pointerId, p);
  };
  const end = (e: PointerEvent): void => {
    clearTimeout(press);
    if (!down.delete(e.pointerId)) return;
    if (!aiming && moved < SLOP && e.type === "pointerup") {
      if (Date.now() - tapMs < DOUBLE_MS) on.fit();
      else on.tap(at(e));
      tapMs = Date.now();
    }
    aiming = false;
  };
  const leave = (): void => {
    if (!aiming) on.leave();
  };
  const wheel = (e: WheelEvent): void => {
    e.preventDefault();
    const p = at(e);
    const f = Math.exp(e.deltaY * 0.0015);
    const priceAxis = e.shiftKey || e.ctrlKey || on.onAxis(p);
    on.zoom(p, priceAxis ? 1 : f, priceAxis ? f : 1);
  };
  const pairs = { pointerdown: start, pointermove: move, pointerup: end, pointercancel: end, pointerleave: leave } as const;
  for (const [name, handler] of Object.entries(pairs)) box.addEventListener(name, handler as EventListener);
  box.addEventListener("wheel", wheel, { passive: false });
  return () => {
    clearTimeout(press);
    for (const [name, handler] of Object.entries(pairs)) box.removeEventListener(name, handler as EventListener);
    box.removeEventListener("wheel", wheel);
  };
}
