/** What the user chose, and what follows from it. */
import { applyTheme, DARK, LIGHT, type Theme } from "../render/theme";
import { KEY, load, type Kept, type Panel } from "./kept";

export class Settings {
  private kept = $state<Kept>(load());

  get theme(): Theme { return this.kept.theme === "light" ? LIGHT : DARK; }
  get utc(): boolean { return this.kept.utc; }
  get scale(): "log" | "rank" { return this.kept.scale; }
  /** the panel of a phone, and the one beside the map on a wide screen */
  get panel(): Panel { return this.kept.panel; }
  get side(): Panel { return this.kept.side; }

  /** smallest cluster, USD; 0 = by the size of the market */
  least(base: string): number { return this.kept.least[base] ?? 0; }
  setLeast(base: string, usd: number): void { this.set({ least: { ...this.kept.least, [base]: usd } }); }

  set(change: Partial<Kept>): void {
    Object.assign(this.kept, change);
    if (change.theme) applyTheme(this.theme, document.documentElement);
    try {
      localStorage.setItem(KEY, JSON.stringify(this.kept));
    } catch {
      // kept for this visit only
    }
  }
}
