import { recursiveBackprop } from "../../reproduce/experiments/recursive-backprop.ts";
import { shortForms } from "./short-forms.ts";

shortForms(recursiveBackprop);
