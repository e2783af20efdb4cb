/** Small images side by side, as SVG text. */

import { checkArrayLike, checkList, checkNumber, checkText, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { picture, text, widthOf } from "./svg.ts";

export interface ImageGridOptions {
  /** Pixels per row of an image. */
  readonly width: number;
  /** Images per row of the grid (default: about square). */
  readonly columns?: number;
  /** Side of a pixel in the picture (default 8). */
  readonly scale?: number;
  readonly title?: string;
}

/** Space around and between images, in pixels of the images. */
const GAP = 1;
const TITLE_HEIGHT = 28;

/**
 * Draws images in rows and columns; 0 is white and 1 black. The picture is at least as wide as its title.
 * @param images values in [0, 1] (others are clipped) in row-major order, all of one size
 * @throws ArgumentError if there are no images, or they are not whole rows of `width`, or differ in size
 * @example const svg = imageGrid(samples, { width: 8, columns: 4 });
 */
export function imageGrid(images: readonly ArrayLike<number>[], options: ImageGridOptions): string {
  const { width, columns, scale = 8, title } = optionsOf("imageGrid", options, ["width", "columns", "scale", "title"]);
  checkList("imageGrid", "images", images);
  checkWhole("imageGrid", "width", width, { least: 1 });
  if (columns !== undefined) checkWhole("imageGrid", "columns", columns, { least: 1 });
  checkNumber("imageGrid", "scale", scale, { above: 0 });
  if (title !== undefined) checkText("imageGrid", "title", title);
  for (const image of images) checkArrayLike("imageGrid", "an image", image);
  const size = images[0]?.length ?? 0;
  const height = size / width;
  if (!(Number.isInteger(height) && height > 0) || images.some((image) => image.length !== size)) {
    throw new ArgumentError(
      `imageGrid: expected images of equal size in rows of ${width}, got sizes ${images.map((i) => i.length).join(", ")}`,
    );
  }
  const across = columns ?? Math.ceil(Math.sqrt(images.length));
  const top = title === undefined ? 0 : TITLE_HEIGHT;
  const [stepX, stepY] = [(width + GAP) * scale, (height + GAP) * scale];
  const totalWidth = Math.max(across * stepX + GAP * scale, title === undefined ? 0 : 2 * GAP * scale + (14 / 12) * widthOf(title));
  const totalHeight = top + Math.ceil(images.length / across) * stepY + GAP * scale;
  return picture(totalWidth, totalHeight, title, [
    `<rect width="${totalWidth}" height="${totalHeight}" fill="#ddd"/>`,
    title === undefined ? "" : text(GAP * scale, 20, title, 'font-size="14"'),
    ...images.map((image, n) => {
      const [x, y] = [GAP * scale + (n % across) * stepX, top + GAP * scale + Math.floor(n / across) * stepY];
      const ground = `<rect width="${width}" height="${height}" fill="#fff"/>`;
      return `<g transform="translate(${x} ${y}) scale(${scale})" shape-rendering="crispEdges">${ground}${shades(image, width)}</g>`;
    }),
  ]);
}

/** One path per shade except white. */
function shades(image: ArrayLike<number>, width: number): string {
  const places = new Map<number, string>();
  for (let k = 0; k < image.length; k++) {
    const grey = Math.round(255 * (1 - Math.min(1, Math.max(0, image[k] as number))));
    if (grey < 255) places.set(grey, `${places.get(grey) ?? ""}M${k % width} ${Math.floor(k / width)}h1v1h-1z`);
  }
  return Array.from(places, ([grey, d]) => `<path d="${d}" fill="rgb(${grey},${grey},${grey})"/>`).join("");
}
