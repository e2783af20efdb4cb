// Nothing: what a process costs before any library.

console.log(performance.now());
