import { stacked } from "../../reproduce/experiments/stacked.ts";
import { shortForms } from "./short-forms.ts";

shortForms(stacked);
