import { fullyRecurrent } from "../../reproduce/experiments/fully-recurrent.ts";
import { shortForms } from "./short-forms.ts";

shortForms(fullyRecurrent);
