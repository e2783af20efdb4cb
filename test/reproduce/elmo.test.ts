import { elmo } from "../../reproduce/experiments/elmo.ts";
import { shortForms } from "./short-forms.ts";

shortForms(elmo);
