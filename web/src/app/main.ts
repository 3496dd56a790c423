import { mount } from "svelte";
import { applyTheme } from "../render/theme";
import App from "./App.svelte";
import { Settings } from "./settings.svelte";
import "./style.css";

// Written into the page by the build (still.ts); not there in development.
await (globalThis as { still?: { drawn: Promise<unknown> } }).still?.drawn;
applyTheme(new Settings().theme, document.documentElement);
const target = document.getElementById("app");
if (target) {
  const still = [...target.querySelectorAll<HTMLElement>(".boot canvas")];
  target.replaceChildren();
  mount(App, { target, props: { still } });
}
