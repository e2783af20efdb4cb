import { search } from "../../reproduce/experiments/search.ts";
import { shortForms } from "./short-forms.ts";

shortForms(search);
