import { gradientExperiments } from "../../reproduce/experiments/gradients.ts";
import { shortForms } from "./short-forms.ts";

shortForms(gradientExperiments);
