import { standard } from "../../reproduce/experiments/standard.ts";
import { shortForms } from "./short-forms.ts";

shortForms(standard);
