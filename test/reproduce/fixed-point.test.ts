import { fixedPointExperiments } from "../../reproduce/experiments/fixed-point.ts";
import { shortForms } from "./short-forms.ts";

shortForms(fixedPointExperiments);
