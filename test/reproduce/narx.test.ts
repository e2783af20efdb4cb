import { narx } from "../../reproduce/experiments/narx.ts";
import { shortForms } from "./short-forms.ts";

shortForms(narx);
