import { ctrnn } from "../../reproduce/experiments/ctrnn.ts";
import { shortForms } from "./short-forms.ts";

shortForms(ctrnn);
