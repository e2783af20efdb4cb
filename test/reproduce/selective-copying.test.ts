import { selectiveCopying } from "../../reproduce/experiments/selective-copying.ts";
import { shortForms } from "./short-forms.ts";

shortForms(selectiveCopying);
