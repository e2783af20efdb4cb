import { reinforce } from "../../reproduce/experiments/reinforce.ts";
import { shortForms } from "./short-forms.ts";

shortForms(reinforce);
