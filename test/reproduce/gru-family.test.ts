import { gruFamily } from "../../reproduce/experiments/gru-family.ts";
import { shortForms } from "./short-forms.ts";

shortForms(gruFamily);
