import { memoryMachines } from "../../reproduce/experiments/memory-machines.ts";
import { shortForms } from "./short-forms.ts";

shortForms(memoryMachines);
