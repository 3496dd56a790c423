/**
 * When to draw. Fingers and choices: with the next frame. Data: at most every `leastMs`, and more seldom where frames come
 * late, so that a slow machine answers its user and lets the data wait. Nothing is drawn when nothing changed.
 */
const SHARE = 3; // data waits so many times as long as the last frame kept us waiting
const MOST_MS = 1000;

export class Pace {
  private frame = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private drawnMs = -Infinity;
  private restMs: number;

  constructor(private readonly draw: () => void, private readonly leastMs = 0) {
    this.restMs = leastMs;
  }

  now(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.frame) return;
    const askedMs = performance.now();
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      const beginMs = performance.now();
      this.draw();
      this.drawnMs = performance.now();
      // A screen's own frame, 16 ms, is no delay.
      const late = Math.max(0, beginMs - askedMs - 17) + this.drawnMs - beginMs;
      this.restMs = Math.min(MOST_MS, Math.max(this.leastMs, SHARE * late));
    });
  }

  soon(): void {
    if (this.frame || this.timer !== undefined) return;
    const waitMs = this.drawnMs + this.restMs - performance.now();
    if (waitMs <= 0) this.now();
    else this.timer = setTimeout(() => this.now(), waitMs);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }
}
