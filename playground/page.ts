/** The playground's page: its panels, each of which opens when it comes into sight. */

import { element } from "./dom.ts";
import { Panel } from "./panel.ts";
import { VIEWS } from "./views/index.ts";

const place = document.getElementById("panels") as HTMLElement;
const contents = document.getElementById("contents") as HTMLElement;
const opened: Panel[] = [];

/** Opens a panel once its section is in sight. */
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    sight.unobserve(target);
    const name = target.id as keyof typeof VIEWS;
    const panel = new Panel(name, VIEWS[name]);
    target.replaceWith(panel.section);
    opened.push(panel);
    void panel.open();
  }
});

for (const [name, { title }] of Object.entries(VIEWS)) {
  contents.append(element("a", { href: `#${name}` }, title));
  // Its place until then, about as high as it will be.
  const section = element("section", { id: name, style: "min-height: 24rem" }, element("h2", {}, title));
  place.append(section);
  sight.observe(section);
}

addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") for (const panel of opened) panel.leave();
});
