import { energy } from "../../reproduce/experiments/energy.ts";
import { shortForms } from "./short-forms.ts";

shortForms(energy);
