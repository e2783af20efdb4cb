import { mtrnn } from "../../reproduce/experiments/mtrnn.ts";
import { shortForms } from "./short-forms.ts";

shortForms(mtrnn);
