import { liquid } from "../../reproduce/experiments/liquid.ts";
import { shortForms } from "./short-forms.ts";

shortForms(liquid);
