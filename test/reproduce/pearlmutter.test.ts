import { pearlmutter } from "../../reproduce/experiments/pearlmutter.ts";
import { shortForms } from "./short-forms.ts";

shortForms(pearlmutter);
