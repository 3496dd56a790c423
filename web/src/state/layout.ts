/** Sizes of the charts, in CSS pixels: the one place that knows them; canvases are sized from here. */
import type { Size } from "./viewport";

export interface MapLayout {
  readonly box: Size;
  /** the heat map, at the upper left */
  readonly map: Size;
  readonly profileWidth: number;
  readonly axisWidth: number;
  readonly axisHeight: number;
}

export function mapLayout(width: number, height: number): MapLayout {
  const axisWidth = 54;
  const axisHeight = 22;
  const profileWidth = Math.round(Math.min(150, Math.max(56, width * 0.18)));
  return {
    box: { width, height },
    map: { width: Math.max(40, width - profileWidth - axisWidth), height: Math.max(40, height - axisHeight) },
    profileWidth,
    axisWidth,
    axisHeight,
  };
}

export const WIDE_PX = 960;
