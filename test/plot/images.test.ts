import { describe, expect, it } from "vitest";
import { imageGrid } from "../../src/plot/images.ts";

describe("imageGrid", () => {
  it("draws each pixel in its shade at its place, and nothing for white", () => {
    const svg = imageGrid(
      [
        [1, 0, 0.5, 1],
        [0, 0, 0, -3],
        [2, 0, 0, 0],
      ],
      { width: 2, columns: 2, scale: 10 },
    );
    expect(svg).toMatch(/^<svg [^>]*width="70" height="70"[\s\S]*<\/svg>\n$/);
    const groups = svg.match(/<g .*<\/g>/g) ?? [];
    expect(groups).toEqual([
      '<g transform="translate(10 10) scale(10)" shape-rendering="crispEdges"><rect width="2" height="2" fill="#fff"/><path d="M0 0h1v1h-1zM1 1h1v1h-1z" fill="rgb(0,0,0)"/><path d="M0 1h1v1h-1z" fill="rgb(128,128,128)"/></g>',
      '<g transform="translate(40 10) scale(10)" shape-rendering="crispEdges"><rect width="2" height="2" fill="#fff"/></g>',
      '<g transform="translate(10 40) scale(10)" shape-rendering="crispEdges"><rect width="2" height="2" fill="#fff"/><path d="M0 0h1v1h-1z" fill="rgb(0,0,0)"/></g>',
    ]);
  });

  it("is about square by itself, and has room for a title", () => {
    const images = Array.from({ length: 5 }, () => [1]);
    expect(imageGrid(images, { width: 1, scale: 1 })).toMatch(/width="7" height="5"/);
    expect(imageGrid(images, { width: 1, scale: 1, title: "1 < 2" })).toMatch(/height="33"[\s\S]*<title>1 &lt; 2<\/title>/);
  });

  it("is wide enough for its title, and no wider than its images without one", () => {
    const width = (title?: string) => Number(/width="(\d+(?:\.\d+)?)"/.exec(imageGrid([[1]], { width: 1, scale: 8, ...(title && { title }) }))?.[1]);
    expect(width()).toBe(24);
    expect(width("a")).toBe(24);
    // Letters of 14 pixels are some 7 wide.
    expect(width("x".repeat(60))).toBeGreaterThan(60 * 7);
  }); // biome-ignore format: long

  it("refuses images that do not fit", () => {
    expect(() => imageGrid([], { width: 2 })).toThrow(/expected images of equal size in rows of 2/);
    expect(() => imageGrid([[1, 2, 3]], { width: 2 })).toThrow(/got sizes 3/);
    expect(() => imageGrid([[1, 2], [1]], { width: 1 })).toThrow(/got sizes 2, 1/);
  });
});
