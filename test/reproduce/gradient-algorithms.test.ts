import { gradientAlgorithms } from "../../reproduce/experiments/gradient-algorithms.ts";
import { shortForms } from "./short-forms.ts";

shortForms(gradientAlgorithms);
