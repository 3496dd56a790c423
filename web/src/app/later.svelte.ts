/** A part of the page that is fetched when it is wanted. One that did not come is asked for again, never given up. */
export class Later<T> {
  part = $state.raw<T | null>(null);
  /** the last try did not bring it */
  failed = $state(false);
  private underway: Promise<void> | null = null;

  constructor(private readonly load: () => Promise<{ default: T }>) {}

  /** At most one try at a time; what is here is not fetched again. */
  ask(): Promise<void> {
    if (this.part) return Promise.resolve();
    if (this.underway) return this.underway;
    this.failed = false;
    this.underway = this.load()
      .then(
        (module) => { this.part = module.default; this.failed = false; },
        () => { this.failed = true; },
      )
      .finally(() => (this.underway = null));
    return this.underway;
  }
}
