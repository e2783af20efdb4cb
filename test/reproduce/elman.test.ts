import { elman } from "../../reproduce/experiments/elman.ts";
import { shortForms } from "./short-forms.ts";

shortForms(elman);
