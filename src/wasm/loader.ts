// The build replaces this module by a bundle of the package it names, so that nothing is left to install.
export { instantiateSync } from "@assemblyscript/loader";
