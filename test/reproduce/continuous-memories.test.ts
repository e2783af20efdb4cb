import { continuousMemories } from "../../reproduce/experiments/continuous-memories.ts";
import { shortForms } from "./short-forms.ts";

shortForms(continuousMemories);
